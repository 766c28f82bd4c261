from django.urls import path

from fl_server_api.oidc.views import CallbackView, SignInView

# The names are those by which the library looks for them.
urlpatterns = [
    path("authenticate/", SignInView.as_view(), name="oidc_authentication_init"),
    path("callback/", CallbackView.as_view(), name="oidc_authentication_callback"),
]
