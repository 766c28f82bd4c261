"""The addresses of the pages for those who are signed in, whether or not they are staff."""

from django.urls import path

from fl_server_api.pages import own, own_invitations, own_tokens
from fl_server_api.pages.comparison import ComparisonPages
from fl_server_api.pages.model import ModelPages
from fl_server_api.pages.own import FRAME, for_users
from fl_server_api.pages.sign_in import SignInView, SignOutView
from fl_server_api.pages.training import TrainingPages

app_name = "pages"
PAGES = (TrainingPages(FRAME), ModelPages(FRAME), ComparisonPages(FRAME))
urlpatterns = [
    path("", for_users(own.home), name="home"),
    path("sign-in/", SignInView.as_view(), name="sign_in"),
    path("sign-out/", SignOutView.as_view(), name="sign_out"),
    path("invitations/", for_users(own_invitations.invitations), name="invitations"),
    path("invitations/trust/", for_users(own_invitations.trust), name="trust"),
    path("invitations/<uuid:training_id>/<slug:answer>/", for_users(own_invitations.answer), name="answer"),
    path("notifications/", for_users(own.notifications), name="notifications"),
    path("tokens/", for_users(own_tokens.tokens), name="tokens"),
    path("tokens/<uuid:token_id>/end/", for_users(own_tokens.end), name="end_token"),
    *(url for pages in PAGES for url in pages.urls(for_users)),
]
