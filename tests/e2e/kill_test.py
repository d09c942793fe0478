"""SIGKILL at random moments: the same command continues and writes the bytes of an undisturbed run.
OCTAVO_KILLS (default 12) is the number of kills; OCTAVO_KILL_MODEL quantizes that model by rtn instead of the tiny one by
gptq, e.g. demo/float of `make demo`."""
import os
import random
import signal
import subprocess
import time
import unittest

from harness import OCTAVO, Case, tree_bytes


class Kill(Case):
    def command(self, out):
        if model := os.environ.get("OCTAVO_KILL_MODEL"):
            return [str(OCTAVO), "quantize", model, "-o", str(out), "--scheme", "w4a16-g64", "--quiet"]
        return [str(OCTAVO), "quantize", str(self.model), "-o", str(out), "--scheme", "w4a16-g32", "--method", "gptq",
                *map(str, self.calibration()), "--quiet"]

    def test_killed_runs_continue_to_the_same_bytes(self):
        start = time.monotonic()
        subprocess.run(self.command(self.folder / "whole"), check=True, stdout=subprocess.DEVNULL)
        length = time.monotonic() - start
        expected = tree_bytes(self.folder / "whole")
        chance = random.Random(20261125)
        kills = wanted = int(os.environ.get("OCTAVO_KILLS", "12"))
        killed = run = 0
        while killed < wanted and run < 4 * kills:
            run += 1
            out = self.folder / f"out{run}"
            while True:
                process = subprocess.Popen(self.command(out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                try:
                    process.wait(timeout=chance.uniform(0.0, 1.1 * length))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    killed += 1
                    process.stderr.close()
                    continue
                error = process.stderr.read().decode()
                process.stderr.close()
                # A run killed after its last act has finished: the next one finds the output and refuses to replace it.
                finished = process.returncode == 2 and "exists" in error
                self.assertTrue(process.returncode == 0 or finished, error)
                break
            self.assertEqual(tree_bytes(out), expected)
            leftovers = [path.name for path in self.folder.iterdir() if path.name.startswith(out.name) and path != out]
            self.assertEqual(leftovers, [], "a finished run leaves nothing beside its output")
        self.assertGreaterEqual(killed, wanted)

    def test_interrupts_are_resumable(self):  # IO8
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            out = self.folder / f"out{number}"
            process = subprocess.Popen(self.command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.05)
            process.send_signal(number)
            code = process.wait(timeout=60)
            self.assertIn(code, (0, 128 + number, -number))
            if code != 0:
                self.assertFalse(out.exists())
            subprocess.run(self.command(out) + ([] if code else ["--force"]), check=True, stdout=subprocess.DEVNULL)
            self.assertTrue((out / "config.json").exists())


if __name__ == "__main__":
    unittest.main()
