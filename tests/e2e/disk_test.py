"""Disks that are too small: refused before work starts, with the bytes needed and free. Runs in a mount namespace of its
own, and is skipped where the system allows none."""
import resource
import shutil
import subprocess
import unittest

from harness import OCTAVO, Case


class SmallDisk(Case):
    def on_disk_of(self, kib, *arguments):
        """Runs octavo where self.folder/disk is a file system of so many KiB, then lists what is on it."""
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        script = 'mount -t tmpfs -o size="$1"k tmpfs "$2" || exit 99; disk="$2"; shift 2; "$@"; code=$?; ls -A "$disk"; exit $code'
        if shutil.which("unshare") is None:
            self.skipTest("no unshare command")
        result = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", str(kib), str(disk), str(OCTAVO), *map(str, arguments)],
                                capture_output=True, timeout=120)
        if result.returncode in (1, 99) and b"octavo" not in result.stderr and not result.stdout:
            self.skipTest(f"no mount namespace: {result.stderr.decode().strip()}")
        return result.returncode, result.stdout.decode(), result.stderr.decode()

    def test_a_disk_too_small_is_4_before_any_work(self):  # IO2
        for scheme in ("w8a16", "w4a16-g32"):
            # A progress line would mean that a layer was begun.
            code, out, err = self.on_disk_of(64, "quantize", self.model, "-o", self.folder / "disk" / "out", "--scheme", scheme)
            self.assertEqual(code, 4, err)
            self.assertRegex(err, r"needs \d+ bytes, the disk has \d+ free")
            self.assertNotIn("layers", err)
            self.assertEqual(out, "")

    def test_the_same_work_fits_a_larger_disk(self):
        plan = self.json("plan", self.model, "--scheme", "w8a16")
        needed = plan["disk_bytes"] // 1024 + 1
        code, out, err = self.on_disk_of(needed + 64, "quantize", self.model, "-o", self.folder / "disk" / "out", "--scheme", "w8a16",
                                         "--json")
        self.assertEqual(code, 0, err)
        self.assertIn("out\n", out)

    def test_more_shards_than_files_may_be_open(self):  # IO14
        self.json("convert", self.model, "-o", self.folder / "hf", "--format", "hf", "--shard-bytes", 1)
        shards = len(list((self.folder / "hf").glob("*.safetensors")))
        self.assertGreater(shards, 16)
        self.octavo("quantize", self.folder / "hf", "-o", self.folder / "out", "--scheme", "w8a16",
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)))
        self.assertTrue((self.folder / "out" / "config.json").exists())


if __name__ == "__main__":
    unittest.main()
