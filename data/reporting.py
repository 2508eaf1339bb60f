"""Switches off what libraries report to their makers: nothing leaves this machine unasked.

Every package here imports `data`, which calls `switch_off`, before it imports a library that would report; so the rule
holds in every process, child processes included, which inherit the environment.
"""

import os
import sys
import warnings

SWITCHES = {
    # onnxruntime 1.32 on Linux looks up its maker's host, sends events, and keeps a device's id and a database of them
    # below the home folder. It reads this when it is imported; its own calls come too late.
    "ORT_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    # Ray asks its users on a terminal, and takes no answer for a yes; what is started by it inherits this.
    "RAY_USAGE_STATS_ENABLED": "0",
    # And reports that it does not report, unless its nodes were started by `ray.init`: to nobody, then.
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
    # What many more honour, by https://consoledonottrack.com
    "DO_NOT_TRACK": "1",
}
# Those that have reported by the time that they are imported.
AT_IMPORT = {"onnxruntime": "ORT_DISABLE_TELEMETRY"}


def switch_off() -> None:
    """Set every switch; warn of a library that was imported before and may report already."""
    for library, switch in AT_IMPORT.items():
        if library in sys.modules and os.environ.get(switch) != SWITCHES[switch]:
            warnings.warn(
                f"{library} was imported before ferox, and reports to its maker where {switch} is not "
                f"{SWITCHES[switch]}; import ferox's packages first, or set that",
                stacklevel=3,
            )
    os.environ.update(SWITCHES)
