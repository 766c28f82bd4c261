"""The names of the operations in the OpenAPI document.

A generated client has a function for each, so a name once published stays. A path that is not listed gets the name that
drf-spectacular gives it; `tests/api/test_schema.py` refuses that for our own.
"""

from __future__ import annotations

OPERATIONS: dict[str, dict[str, str]] = {
    "users/": {"GET": "listUsers", "POST": "registerUser"},
    "users/myself/": {"GET": "getMyself", "PATCH": "editMyself", "DELETE": "deleteMyself"},
    "users/myself/alerts/": {"GET": "listAlertRules", "POST": "createAlertRule"},
    "users/myself/alerts/{rule_id}/": {
        "GET": "getAlertRule",
        "PATCH": "editAlertRule",
        "DELETE": "deleteAlertRule",
    },
    "users/myself/tokens/": {"GET": "listTokens", "POST": "createToken"},
    "users/myself/tokens/{token_id}/": {"GET": "getToken", "DELETE": "endToken"},
    "users/myself/notification-secrets/": {"GET": "listNotificationSecrets", "POST": "rotateNotificationSecret"},
    "users/groups/": {"GET": "listMyGroups"},
    "users/invitations/": {"GET": "listMyInvitations"},
    "users/trainings/": {"GET": "listMyTrainings"},
    "users/{user_id}/": {"GET": "getUser"},
    "groups/": {"GET": "listGroups", "POST": "createGroup"},
    "groups/{group_id}/": {
        "GET": "getGroup",
        "PUT": "renameGroup",
        "PATCH": "editGroup",
        "DELETE": "deleteGroup",
    },
    "models/": {"GET": "listModels", "POST": "uploadModel"},
    "models/{model_id}/": {"GET": "downloadModel", "POST": "uploadUpdate", "DELETE": "deleteModel"},
    "models/{model_id}/metadata/": {"GET": "getModelMetadata"},
    "models/{model_id}/metrics/": {
        "GET": "listModelMetrics",
        "POST": "reportMetrics",
        "DELETE": "takeBackMetrics",
    },
    "models/{model_id}/preprocessing/": {"GET": "downloadPreprocessing", "POST": "uploadPreprocessing"},
    "models/{model_id}/swag/": {"POST": "uploadMoments"},
    "models/{model_id}/versions/": {"GET": "listVersions"},
    "models/{model_id}/versions/{number}/": {"PATCH": "describeVersion"},
    "models/{model_id}/versions/{number}/restore/": {"POST": "restoreVersion"},
    "trainings/": {"GET": "listTrainings", "POST": "createTraining"},
    "trainings/{training_id}/": {"GET": "getTraining", "DELETE": "deleteTraining"},
    "trainings/{training_id}/start/": {"POST": "startTraining"},
    "trainings/{training_id}/accept/": {"POST": "acceptInvitation"},
    "trainings/{training_id}/decline/": {"POST": "declineInvitation"},
    "trainings/{training_id}/leave/": {"POST": "leaveTraining"},
    "trainings/{training_id}/clients/": {"PUT": "addParticipants", "DELETE": "removeParticipants"},
    "trainings/{training_id}/metrics/": {"GET": "listTrainingMetrics"},
    "trainings/{training_id}/models/": {"GET": "listTrainingModels"},
    "trainings/{training_id}/models/latest/": {"GET": "listLatestTrainingModels"},
    "trainings/{training_id}/resume/": {"POST": "resumeTraining"},
    "trainings/{training_id}/stop/": {"POST": "stopTraining"},
    "trainings/{training_id}/status/": {"GET": "getTrainingStatus"},
    "trainings/{training_id}/history/": {"GET": "getTrainingHistory"},
    "trainings/{training_id}/rounds/{kind}/": {"POST": "submitToRound"},
    "inference/": {"POST": "askModel"},
    "notifications/": {"GET": "listNotifications"},
    "notifications/{notification_id}/ack/": {"POST": "acknowledgeNotification"},
}

TAGS = [
    {"name": "users", "description": "Accounts: registering, tokens, alert rules, secrets of notifications."},
    {"name": "groups", "description": "Groups of users."},
    {"name": "models", "description": "Models, updates, metrics and versions."},
    {"name": "trainings", "description": "Trainings: their participants, rounds, state and results."},
    {"name": "inference", "description": "Questions to models."},
    {"name": "notifications", "description": "What a participant is told, for those who fetch it."},
]


def name_of(path: str, method: str) -> str | None:
    """The name of an operation; None for a path that isn't listed."""
    return OPERATIONS.get(path.removeprefix("/api/"), {}).get(method.upper())
