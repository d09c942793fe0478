"""tools/gpu_report.py on a small tree, with a program that stands in for octavo_cuda_check."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parent.parent.parent / "tools" / "gpu_report.py"


class GpuReport(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        self.cuda = self.root / "src" / "kernels" / "cuda"
        for folder in (self.root / "tools", self.root / "docs", self.cuda / "device", self.cuda / "compat"):
            folder.mkdir(parents=True)
        shutil.copy(TOOL, self.root / "tools")
        (self.cuda / "woq_a.cu").write_text('#include "kernels/cuda/device/x.cuh"\nint a;\n')
        (self.cuda / "woq_b.h").write_text("int b;\n")
        (self.cuda / "w8a8_c.cu").write_text('#include "kernels/cuda/woq_b.h"\n')
        (self.cuda / "device" / "x.cuh").write_text("int x;\n")
        self.program = self.root / "program"
        self.status = self.root / "status"
        self.status.write_text("0")
        self.build()

    def build(self):
        (self.root / "sources").write_text(self.tool("--sources").stdout)
        self.program.write_text(f'#!/bin/sh\ncase "$1" in\nsources) cat {self.root}/sources ;;\ntoolkit) echo CUDA 1.2 ;;\n'
                                f'*) echo "$@: 5 runs, 0 failures"; exit $(cat {self.status}) ;;\nesac\n')
        self.program.chmod(0o755)

    def tool(self, *arguments):
        return subprocess.run([sys.executable, self.root / "tools" / "gpu_report.py", *map(str, arguments)], capture_output=True, text=True)

    def check(self, code, *options):
        result = self.tool("--check", *options)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr

    def test_a_report_of_these_sources_passes(self):
        self.assertIn("there is no docs/gpu-report.json", self.check(1))
        self.assertEqual(self.tool("--run", self.program).returncode, 0)
        self.check(0)
        report = json.loads((self.root / "docs" / "gpu-report.json").read_text())
        self.assertEqual(sorted(report["families"]), ["w8a8", "woq"])
        self.assertEqual(report["families"]["woq"]["toolkit"], "CUDA 1.2")
        self.assertIn("w8a8 check: 5 runs, 0 failures", [line for run in report["runs"] for line in run["result"]])
        self.assertFalse(any("acext" in run["families"] for run in report["runs"]), "no such family here")

    def test_changed_files_are_named_with_their_families(self):
        self.tool("--run", self.program)
        (self.cuda / "device" / "x.cuh").write_text("int y;\n")
        (self.cuda / "woq_new.cuh").write_text("\n")
        text = self.check(1)
        self.assertIn("woq: src/kernels/cuda/device/x.cuh changed", text)
        self.assertIn("woq: src/kernels/cuda/woq_new.cuh is new", text)
        self.assertNotIn("w8a8:", text)
        self.assertIn("warning: woq:", self.check(77, "--warn"))
        (self.cuda / "woq_b.h").write_text("int c;\n")  # both families read it
        self.assertIn("w8a8: src/kernels/cuda/woq_b.h changed", self.check(1))
        (self.cuda / "woq_a.cu").unlink()
        self.assertIn("woq: src/kernels/cuda/woq_a.cu is gone", self.check(1))
        (self.cuda / "fp4_z.cu").write_text("")
        self.assertIn("fp4: never checked on a GPU", self.check(1))

    def test_one_family_can_be_renewed(self):
        self.tool("--run", self.program)
        (self.cuda / "w8a8_c.cu").write_text("int changed;\n")
        (self.cuda / "woq_a.cu").write_text("int changed;\n")
        self.build()
        self.assertEqual(self.tool("--run", self.program, "--only", "w8a8").returncode, 0)
        text = self.check(1)
        self.assertIn("woq: src/kernels/cuda/woq_a.cu changed", text)
        self.assertNotIn("w8a8:", text)
        report = json.loads((self.root / "docs" / "gpu-report.json").read_text())
        self.assertIn(["repeats"], [run["words"] for run in report["runs"]], "what it says of the other family stays")
        self.assertEqual(sum(run["words"] == ["w8a8", "check"] for run in report["runs"]), 1)
        self.assertEqual(self.tool("--run", self.program, "--only", "fp4").returncode, 2)

    def test_failures_do_not_pass(self):
        self.status.write_text("3")
        self.assertEqual(self.tool("--run", self.program).returncode, 1)
        self.assertIn("woq: failed: octavo_cuda_check repeats", self.check(1))

    def test_a_program_of_other_sources_is_refused(self):
        (self.cuda / "woq_a.cu").write_text("int other;\n")
        result = self.tool("--run", self.program)
        self.assertEqual(result.returncode, 2)
        self.assertIn("other sources", result.stderr)
        self.assertFalse((self.root / "docs" / "gpu-report.json").exists())


if __name__ == "__main__":
    unittest.main()
