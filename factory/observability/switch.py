"""Whether this process tells anything of itself, by OpenTelemetry's own variable."""

import os


def is_disabled() -> bool:
    """Tell whether `OTEL_SDK_DISABLED` is `true`: no traces, no figures; logs stay.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
    """
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
