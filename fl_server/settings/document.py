"""What the OpenAPI document says beside the operations."""

from fl_server_api.operations import TAGS

DESCRIPTION = """Register models and trainings, take part in them, and ask the results for inferences.

Requests carry `Authorization: Token <key>`. The document names one content type for each operation. Bodies shown as
JSON may also be sent as a form where the operation says so, and the reverse.

A refusal is `{"detail": "<sentence>"}`, a list of sentences, or an object with sentences by field. If the `Accept`
header names `application/problem+json`, it is a problem as RFC 9457 defines it, with the sentence in `detail` and
sentences by field in `errors`.
"""

MODELS = "fl_server_core.models"
ENUMS = {
    "AlertChannel": f"{MODELS}.alert.AlertChannel",
    "AlertCondition": f"{MODELS}.alert.AlertCondition",
    "AlertTrainings": f"{MODELS}.alert.AlertTrainings",
    "DeliveryStatus": f"{MODELS}.delivery.DeliveryStatus",
    "EventKind": f"{MODELS}.event.EventKind",
    "ModelKind": "fl_server_api.serializers.model.KINDS",
    "NotificationType": f"{MODELS}.delivery.NotificationType",
    "TokenScope": f"{MODELS}.token.Scope",
    "TrainingState": f"{MODELS}.training.TrainingState",
    "UncertaintyMethod": f"{MODELS}.training.UncertaintyMethod",
}
"""Their names in the document, which would otherwise change with the next serializer that has a field of the name."""

SPECTACULAR_SETTINGS = {
    "TITLE": "Federated learning server",
    "DESCRIPTION": DESCRIPTION,
    "VERSION": "0.1.0",
    "TAGS": TAGS,
    "ENUM_NAME_OVERRIDES": ENUMS,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "fl_server_api.openapi.finish",
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
