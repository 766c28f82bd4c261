"""The addresses under `/api/`."""

from django.urls import path, re_path, register_converter

from fl_server_api.converters import IdConverter
from fl_server_api.middleware import NOT_FOUND
from fl_server_api.views import (
    alerts,
    groups,
    inference,
    models,
    notification_secrets,
    notifications,
    pages,
    rounds,
    steering,
    tokens,
    training_invitations,
    training_metrics,
    trainings,
    users,
    versions,
)
from fl_server_api.views.base import NotFoundView

register_converter(IdConverter, "id")

urlpatterns = [
    path("users/", users.UsersView.as_view()),
    path("users/myself/", users.MyselfView.as_view()),
    path("users/myself/alerts/", alerts.AlertRulesView.as_view()),
    path("users/myself/alerts/<id:rule_id>/", alerts.AlertRuleView.as_view()),
    path("users/myself/tokens/", tokens.TokensView.as_view()),
    path("users/myself/tokens/<id:token_id>/", tokens.TokenView.as_view()),
    path("users/myself/notification-secrets/", notification_secrets.NotificationSecretsView.as_view()),
    path("users/groups/", users.MyGroupsView.as_view()),
    path("users/invitations/", users.MyInvitationsView.as_view()),
    path("users/trainings/", users.MyTrainingsView.as_view()),
    path("users/<id:user_id>/", users.UserView.as_view()),
    path("groups/", groups.GroupsView.as_view()),
    path("groups/<int:group_id>/", groups.GroupView.as_view()),
    path("models/", models.ModelsView.as_view()),
    path("models/<id:model_id>/", models.ModelView.as_view(), name="model_download"),
    path("models/<id:model_id>/metadata/", models.ModelMetadataView.as_view()),
    path("models/<id:model_id>/metrics/", models.ModelMetricsView.as_view()),
    path("models/<id:model_id>/preprocessing/", models.ModelPreprocessingView.as_view()),
    path("models/<id:model_id>/swag/", models.ModelMomentsView.as_view()),
    path("models/<id:model_id>/versions/", versions.ModelVersionsView.as_view()),
    path("models/<id:model_id>/versions/<int:number>/", versions.ModelVersionView.as_view()),
    path("models/<id:model_id>/versions/<int:number>/restore/", versions.ModelVersionRestoreView.as_view()),
    path("trainings/", trainings.TrainingsView.as_view()),
    path("trainings/<id:training_id>/", trainings.TrainingView.as_view()),
    path("trainings/<id:training_id>/start/", trainings.TrainingStartView.as_view()),
    path("trainings/<id:training_id>/accept/", training_invitations.TrainingAcceptView.as_view()),
    path("trainings/<id:training_id>/decline/", training_invitations.TrainingDeclineView.as_view()),
    path("trainings/<id:training_id>/leave/", training_invitations.TrainingLeaveView.as_view()),
    path("trainings/<id:training_id>/clients/", trainings.TrainingParticipantsView.as_view()),
    path(
        "trainings/<id:training_id>/metrics/", training_metrics.TrainingMetricsView.as_view(), name="training_metrics"
    ),
    path("trainings/<id:training_id>/models/", trainings.TrainingModelsView.as_view()),
    path("trainings/<id:training_id>/models/latest/", trainings.TrainingLatestModelsView.as_view()),
    path("trainings/<id:training_id>/resume/", steering.TrainingResumeView.as_view()),
    path("trainings/<id:training_id>/stop/", steering.TrainingStopView.as_view()),
    path("trainings/<id:training_id>/status/", steering.TrainingStatusView.as_view()),
    path("trainings/<id:training_id>/history/", steering.TrainingHistoryView.as_view()),
    path("trainings/<id:training_id>/rounds/<str:kind>/", rounds.RoundSubmissionsView.as_view()),
    path("inference/", inference.InferenceView.as_view()),
    path("notifications/", notifications.NotificationsView.as_view()),
    path("notifications/<id:notification_id>/ack/", notifications.NotificationAckView.as_view()),
    path("schema/", pages.SchemaView.as_view(), name="schema"),
    path("schema/swagger-ui/", pages.SwaggerView.as_view(url_name="schema"), name="swagger-ui"),
    path("schema/redoc/", pages.RedocView.as_view(url_name="schema"), name="redoc"),
    re_path("", NotFoundView.as_view(), name=NOT_FOUND),
]
