"""python3 -m unittest discover contrib/python"""

import datetime
import os
import signal
import subprocess
import sys
import tempfile
import unittest

import sysopt_agent

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


class Pace(unittest.TestCase):
    def read(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(text)
            file.flush()
            return sysopt_agent.pace(file.name, NOW)

    def test_advice_holds_until_its_time(self):
        advice = '{"multiplier": 1.5, "reason": "x", "until": "%s"}'
        self.assertEqual(self.read(advice % "2026-01-01T00:00:01Z"), 1.5)
        self.assertEqual(self.read(advice % "2026-01-01T00:00:00Z"), 1.0)

    def test_what_is_no_advice_is_full_pace(self):
        for text in ["", "{}", "[]", '{"multiplier": "x", "until": "y"}', '{"multiplier": 1e9, "until": "2027-01-01T00:00:00Z"}']:
            self.assertEqual(self.read(text), 1.0)
        self.assertEqual(sysopt_agent.pace("/nonexistent", NOW), 1.0)


class Reclaim(unittest.TestCase):
    def test_an_agent_that_waits_collects_its_garbage_and_lives_on(self):
        code = (
            "import gc, sys, weakref, sysopt_agent\n"
            "class Part: pass\n"
            "gc.disable()\n"
            "sysopt_agent.install()\n"
            "part = Part()\n"
            "part.ring = part\n"
            "weakref.finalize(part, print, 'collected', flush=True)\n"
            "del part\n"
            "print('up', flush=True)\n"
            "sys.stdin.read()\n"
        )
        pipe = subprocess.PIPE
        agent = subprocess.Popen([sys.executable, "-c", code], cwd=HERE, stdin=pipe, stdout=pipe)
        self.assertEqual(agent.stdout.readline(), b"up\n")
        agent.send_signal(signal.SIGUSR1)
        self.assertEqual(agent.stdout.readline(), b"collected\n")
        agent.communicate()
        self.assertEqual(agent.returncode, 0)


if __name__ == "__main__":
    unittest.main()
