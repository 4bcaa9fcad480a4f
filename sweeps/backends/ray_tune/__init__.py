"""Ray Tune as a back end.

Ray reads these environment variables when it is imported, so they are set here, before any module of this package
imports it. Values that the user has set are kept.
"""

import os

os.environ |= {
    name: os.environ.get(name, value)
    for name, value in {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "inf",  # else Tune writes a file of all trials, which nobody reads
    }.items()
}
