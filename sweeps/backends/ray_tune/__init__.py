"""Ray Tune as a back end. Ray reads these variables when it is imported, so they are set before any module of this room
imports it. A user's own values win."""

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
        "TUNE_GLOBAL_CHECKPOINT_S": "inf",  # a file of all trials that nobody reads
    }.items()
}
