"""What an agent needs to follow sysopt: copy this file, call install(), and sleep at the pace.

    import sysopt_agent
    sysopt_agent.install()                       # SIGUSR1: reclaim_signal = "SIGUSR1"
    time.sleep(30 * sysopt_agent.pace("run/pace.json"))
"""

import ctypes
import datetime
import gc
import json
import signal


def reclaim(signum=None, frame=None):
    """Collects garbage and gives the freed heap back to the system (glibc)."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        pass  # Another C library: it gives memory back by itself, or not at all.


def install(signum=signal.SIGUSR1):
    """Handles the signal from now on; to be called in the main thread.

    No siginterrupt(False): the handler would wait until a blocking call ends. Python repeats
    interrupted calls by itself (PEP 475).
    """
    signal.signal(signum, reclaim)


def pace(path, now=None):
    """The factor for the agent's intervals; 1.0 without a file, or with one that is out of date."""
    try:
        with open(path, encoding="utf-8") as file:
            advice = json.load(file)
        until = datetime.datetime.fromisoformat(advice["until"].replace("Z", "+00:00"))
        multiplier = float(advice["multiplier"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 1.0
    now = now or datetime.datetime.now(datetime.timezone.utc)
    return multiplier if now < until and 1.0 <= multiplier <= 10.0 else 1.0
