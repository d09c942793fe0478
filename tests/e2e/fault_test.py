"""Calls that fail, a kill at every one of them, and power that goes: exit codes, what is left under the output's name,
and the bytes of the run that follows. Every call of the small runs is tried, one after the other; of the allocations,
OCTAVO_FAULT_ALLOCATIONS (default 60) spread over the run. Needs build/libfault_shim.so."""
import errno
import hashlib
import os
import shutil
import signal
import subprocess
import unittest

from harness import OCTAVO, Case, tree_bytes
from power_loss import Disk

SHIM = OCTAVO.parent / "libfault_shim.so"
ALLOCATIONS = int(os.environ.get("OCTAVO_FAULT_ALLOCATIONS", "60"))


class Faults(Case):
    def setUp(self):
        super().setUp()
        self.assertTrue(SHIM.exists(), f"{SHIM} is not built")
        self.place = self.folder / "place"
        self.place.mkdir()
        self.out = self.place / "out"

    def command(self, *options, out=None):
        return [str(OCTAVO), "quantize", str(self.model), "-o", str(out or self.out), "--scheme", "w4a16-g32", "--quiet",
                "--threads", "2", *map(str, options)]

    def run_with(self, command, **variables):
        return subprocess.run(command, capture_output=True, timeout=120,
                              env={**os.environ, "LD_PRELOAD": str(SHIM), **{f"OCTAVO_{k}": v for k, v in variables.items()}})

    def counts(self, command):
        path = self.folder / "counts"
        result = self.run_with(command, FAULT_COUNTS=str(path))
        self.assertEqual(result.returncode, 0, result.stderr)
        return {kind: int(count) for kind, count in (line.split() for line in path.read_text().splitlines())}

    def empty(self):
        shutil.rmtree(self.place)
        self.place.mkdir()

    def expected(self, *options):
        subprocess.run(self.command(*options, out=self.folder / "expected"), check=True, capture_output=True)
        bytes_ = tree_bytes(self.folder / "expected")
        shutil.rmtree(self.folder / "expected")
        return bytes_

    def check_fault(self, fault, command, expected, earlier=None):
        """One run with a fault, then one without: the first ends cleanly, the second gives the expected bytes."""
        result = self.run_with(command, FAULT=fault)
        where = f"{fault}: {result.returncode} {result.stderr.decode()}"
        killed = result.returncode == -signal.SIGKILL and "kill" in fault
        # 0: the call was one whose failure does no harm.
        self.assertTrue(killed or result.returncode in (0, 4), where)
        found = tree_bytes(self.out) if self.out.exists() else None
        if result.returncode == 0:
            self.assertEqual(found, expected, where)
        else:
            # A failure after the swap, of the folder's own sync, leaves the whole new output.
            self.assertIn(found, (earlier, expected), where)
            if not killed:
                self.assertTrue(result.stderr.strip(), where)
        again = subprocess.run(command, capture_output=True, timeout=120)
        complete = again.returncode == 2 and b"exists" in again.stderr
        self.assertTrue(again.returncode == 0 or (complete and earlier is None), where + again.stderr.decode())
        self.assertEqual(tree_bytes(self.out), expected, where)
        left = [path.name for path in self.place.iterdir() if path != self.out]
        self.assertEqual(left, [], where)
        self.empty()
        return result.returncode

    def test_every_call_on_the_disk_may_fail(self):  # IO1, IO3
        expected = self.expected()
        counts = self.counts(self.command())
        self.empty()
        self.assertGreater(counts["fsync"], 8)
        codes = []
        for kind, errors in (("disk", (errno.ENOSPC, errno.EIO)), ("open", (errno.EMFILE,)), ("mmap", (errno.ENOMEM,))):
            for call in range(1, counts[kind] + 1):
                for error in errors:
                    for rest in ("", "+"):
                        codes.append(self.check_fault(f"{kind}:{call}:{error}{rest}", self.command(), expected))
        self.assertGreater(codes.count(4), counts["disk"], "most faults are found")

    def test_a_kill_at_every_call_on_the_disk(self):  # IO7
        expected = self.expected()
        counts = self.counts(self.command())
        self.empty()
        for call in range(1, counts["disk"] + 1):
            self.assertEqual(self.check_fault(f"disk:{call}:kill", self.command(), expected), -signal.SIGKILL)

    def test_replacing_keeps_the_old_output_until_the_new_one_is_whole(self):
        command = self.command("--force")
        subprocess.run(self.command("--clip", "absmax"), check=True, capture_output=True)
        earlier = tree_bytes(self.out)
        old = self.folder / "old"
        shutil.copytree(self.out, old)
        expected = self.expected()
        self.assertNotEqual(earlier, expected)
        counts = self.counts(command)
        for call in range(1, counts["disk"] + 1):
            for error in (str(errno.EIO), "kill"):
                self.empty()
                shutil.copytree(old, self.out)
                self.check_fault(f"disk:{call}:{error}", command, expected, earlier)

    def test_allocations_may_fail(self):  # IO13
        for options in ((), ("--method", "gptq", *self.calibration())):
            command = self.command(*options)
            expected = self.expected(*options)
            total = self.counts(command)["malloc"]
            self.empty()
            step = max(1, total // ALLOCATIONS)
            for call in range(1, total + 1, step):
                for rest in ("", "+"):
                    self.check_fault(f"malloc:{call}:{errno.ENOMEM}{rest}", command, expected)

    def test_allocations_may_fail_in_commands_that_read(self):
        for command in ([str(OCTAVO), "run", str(self.model), "-p", "fold", "-n", "2"],
                        [str(OCTAVO), "inspect", str(self.model), "--json"]):
            total = self.counts(command)["malloc"]
            for call in range(1, total + 1, max(1, total // ALLOCATIONS)):
                for rest in ("", "+"):
                    result = self.run_with(command, FAULT=f"malloc:{call}:{errno.ENOMEM}{rest}")
                    self.assertIn(result.returncode, (0, 4), f"{command[1]} {call}{rest}: {result.stderr.decode()}")
                    if result.returncode:
                        self.assertTrue(result.stderr.strip())

    def check_power_loss(self, command, expected, earlier):
        start = {f"out/{name}": content for name, content in (earlier or {}).items()}
        log = self.folder / "log"
        result = self.run_with(command, FAULT_LOG=str(log))
        self.assertEqual(result.returncode, 0, result.stderr)
        data = (self.folder / "log.data").read_bytes()
        disk = Disk(self.place, start)
        seen, states = set(), []

        def crash(line):
            for tree in disk.after_power_loss():
                digest = hashlib.sha256(repr(sorted(tree.items())).encode()).digest()
                if digest not in seen:
                    seen.add(digest)
                    states.append((line, tree))
        crash("start")
        for line in log.read_text().splitlines():
            self.assertTrue(disk.apply(line, data) or "/place" not in line, line)
            crash(line)
        final = {path.removeprefix("out/"): content for path, content in disk._tree(set(range(len(disk.changes))), True).items()
                 if path.startswith("out/") and content is not None}
        self.assertEqual(final, expected, "the model of the disk ends where the disk did, all of it synced")
        for line, tree in states:
            found = {path.removeprefix("out/"): content for path, content in tree.items() if path.startswith("out/") and content is not None}
            if "out/" not in tree:
                found = None
            self.assertIn(found, (earlier, expected), f"after {line}: {sorted(tree)}")
            self.empty()
            for path, content in tree.items():
                target = self.place / path
                if content is None:
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)
            again = subprocess.run(command, capture_output=True, timeout=120)
            complete = again.returncode == 2 and b"exists" in again.stderr and found == expected
            self.assertTrue(again.returncode == 0 or complete, f"after {line}: {again.stderr.decode()} {sorted(tree)}")
            self.assertEqual(tree_bytes(self.out), expected, f"after {line}")
        return len(states)

    def test_power_loss_leaves_the_old_output_or_the_new_one(self):  # IO9
        expected = self.expected()
        self.assertGreater(self.check_power_loss(self.command(), expected, None), 60)

    def test_power_loss_while_replacing(self):
        subprocess.run(self.command("--clip", "absmax"), check=True, capture_output=True)
        earlier = tree_bytes(self.out)
        self.assertGreater(self.check_power_loss(self.command("--force"), self.expected(), earlier), 60)


if __name__ == "__main__":
    unittest.main()
