"""A checkpoint that is cut while the command reads it: exit code 4, the file's name, no output."""
import os
import shutil
import signal
import subprocess
import time
import unittest

from harness import MODELS, OCTAVO, Case


class ChangedInput(Case):
    def stop_when_mapped(self, command, weights):
        """Starts the command and stops it (SIGSTOP) once it has mapped the file; None if it was too quick."""
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None:
            with open(f"/proc/{process.pid}/maps") as maps:
                if str(weights) in maps.read():
                    process.send_signal(signal.SIGSTOP)
                    return process
            time.sleep(0.0002)
        process.stderr.close()
        return None

    def test_a_file_cut_while_it_is_read_is_4(self):
        self.text.write_text("fold the model " * 20000)
        out = self.folder / "out"
        weights = self.model / "model.safetensors"
        command = [str(OCTAVO), "quantize", str(self.model), "-o", str(out), "--scheme", "w4a16-g32", "--method", "gptq",
                   "--calib", str(self.text), "--calib-samples", "500", "--calib-length", "64", "--quiet"]
        for _ in range(20):
            shutil.copy(MODELS / "llama" / "model.safetensors", self.model)
            process = self.stop_when_mapped(command, weights)
            self.assertIsNotNone(process, "the run should take long enough to be caught")
            os.truncate(weights, 0)
            process.send_signal(signal.SIGCONT)
            error = process.stderr.read().decode()
            process.stderr.close()
            code = process.wait(timeout=60)
            self.assertFalse(out.exists())
            if code == 4:
                self.assertIn("model.safetensors", error)
                self.assertNotIn("internal", error)
                return
            # Caught between opening and checking the file: refused as a broken one.
            self.assertEqual(code, 3, error)
        self.fail("the file was never cut while it was read")


if __name__ == "__main__":
    unittest.main()
