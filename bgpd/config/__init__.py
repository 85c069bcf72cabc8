"""Configuration of the daemon: file, environment and options to plain settings.

``load`` reads and validates and leaves every configuration type behind; ``diff`` tells
what a reload does, and at what price. Only ``loader`` touches files and the environment.
"""

from bgpd.config.check import Report, check
from bgpd.config.diff import Step, StepKind, apply, diff, diff_peers
from bgpd.config.environment import OPTIONS
from bgpd.config.errors import ConfigError, ConfigProblem, Origin
from bgpd.config.loader import Loaded, load
from bgpd.config.settings import (
    DaemonSettings,
    DatastoreKind,
    DatastoreSettings,
    FibSettings,
    LearnSettings,
    LogFormat,
    LogSettings,
    MetricsSettings,
    OriginatedRoute,
    RestartSettings,
    RouteSettings,
    SpeakerSettings,
)

__all__ = [
    "OPTIONS",
    "ConfigError",
    "ConfigProblem",
    "DaemonSettings",
    "DatastoreKind",
    "DatastoreSettings",
    "FibSettings",
    "LearnSettings",
    "Loaded",
    "LogFormat",
    "LogSettings",
    "MetricsSettings",
    "Origin",
    "OriginatedRoute",
    "Report",
    "RestartSettings",
    "RouteSettings",
    "SpeakerSettings",
    "Step",
    "StepKind",
    "apply",
    "check",
    "diff",
    "diff_peers",
    "load",
]
