#!/usr/bin/env python3
"""The report of the GPU kernels' checks, docs/gpu-report.json, and whether it is about the sources that stand here.

gpu_report.py --check [--warn]     compares the report with the sources; says which families are stale and which files changed
gpu_report.py --run PROGRAM        runs PROGRAM (octavo_cuda_check) on this machine's GPU and writes the report;
                                   --only FAMILY,...: renews these families, what the report says of the others stays
gpu_report.py --sources [FILE]     a line for each source, as PROGRAM sources prints what it was built from; into FILE as a C++ literal

A family is what the files of src/kernels/cuda with one prefix need (woq, w8a8, ...; acext is compat/): these files, and the
headers of src/kernels/cuda and include/octavo/compat that they include. Each source has a SHA-256, each family one over them.
Exit status of --check: 0 when every family of the tree was checked as it is and passed, else 1, or with --warn 77 (a test that
says so is skipped, not passed). --run: 1 when a run failed; it refuses a program that was built from other sources.
"""
import argparse
import concurrent.futures
import datetime
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "gpu-report.json"
CUDA = "src/kernels/cuda"
SUFFIXES = {".cu", ".cuh", ".cc", ".h"}  # not .inc: tables of plans, which choose among kernels that were checked
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)

# What a report runs: families, words of octavo_cuda_check, seconds at most. Checks run beside one another, benchmarks alone
# after them. A family without a passed check is not current.
CHECKS = [
    *[(["woq"], ["check", "part", str(part), "9"], 150) for part in range(9)],
    (["woq"], ["repeats"], 100),
    (["w8a8"], ["w8a8", "check"], 150),
    (["w8a8"], ["f8", "check"], 150),
    (["acext"], ["acext", "check"], 150),
]
BENCHES = [
    (["woq"], ["bench", "w4a16-g128"], 60),
    (["woq"], ["bench", "w8a16"], 60),
    (["w8a8"], ["w8a8", "bench", "fast", "early"], 60),
    (["acext"], ["acext", "bench"], 60),
]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def closure(path, seen):
    """path and the kernel headers that it includes."""
    if path in seen:
        return
    seen.add(path)
    for target in INCLUDE.findall((ROOT / path).read_text(encoding="utf-8")):
        if pathlib.PurePath(target).suffix not in SUFFIXES:
            continue
        if target.startswith("kernels/cuda/") and (ROOT / "src" / target).is_file():
            closure(f"src/{target}", seen)
        elif target.startswith("octavo/compat/"):
            closure(f"include/{target}", seen)


def families():
    """{family: {path: SHA-256}} of the tree."""
    members = {}
    for path in sorted((ROOT / CUDA).glob("*")) + sorted((ROOT / CUDA / "compat").glob("*")):
        if path.suffix not in SUFFIXES:
            continue
        members.setdefault(path.name.split("_")[0], []).append(str(path.relative_to(ROOT)))
    out = {}
    for family, paths in sorted(members.items()):
        seen = set()
        for path in paths:
            closure(path, seen)
        out[family] = {path: digest((ROOT / path).read_bytes()) for path in sorted(seen)}
    return out


def digest_of(files):
    return digest("".join(f"{sha}  {path}\n" for path, sha in sorted(files.items())).encode())


def sources_text():
    files = {path: sha for family in families().values() for path, sha in family.items()}
    return "".join(f"{sha}  {path}\n" for path, sha in sorted(files.items()))


def load():
    """The report that stands here; what its first form said once is said of each family."""
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    for key in ("made", "card", "toolkit"):
        if key in report:
            value = report.pop(key)
            for known in report["families"].values():
                known.setdefault(key, value)
    return report


def stale(report):
    """Lines that say what a report lacks."""
    lines = []
    for family, files in families().items():
        known = report.get("families", {}).get(family)
        if known is None:
            lines.append(f"{family}: never checked on a GPU")
            continue
        if known["digest"] != digest_of(files):
            for path in sorted(files.keys() | known["files"].keys()):
                before, here = known["files"].get(path), files.get(path)
                if before != here:
                    lines.append(f"{family}: {path} {'is new' if before is None else 'is gone' if here is None else 'changed'} since the report of {known['made']}")
        runs = [run for run in report["runs"] if family in run["families"]]
        lines += [f"{family}: failed: octavo_cuda_check {' '.join(run['words'])}" for run in runs if run["status"] != 0]
        if not any(run["kind"] == "check" for run in runs):
            lines.append(f"{family}: no check was run")
    return lines


def check(warn):
    if not REPORT.is_file():
        lines = [f"there is no {REPORT.relative_to(ROOT)}"]
    else:
        lines = stale(load())
    for line in lines:
        print(f"{'warning: ' if warn else ''}{line}", file=sys.stderr)
    if lines:
        print("tools/gpu_check.sh report, on a machine with an H100, makes the report anew", file=sys.stderr)
    return 0 if not lines else 77 if warn else 1


def ask(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip().splitlines()
    except (OSError, subprocess.TimeoutExpired):
        return []


def run_one(program, kind, families_of_run, words, seconds):
    start = time.monotonic()
    try:
        result = subprocess.run([program, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
        status, text = result.returncode, result.stdout
    except subprocess.TimeoutExpired as stopped:
        status, text = 124, (stopped.stdout or b"").decode() if isinstance(stopped.stdout, bytes) else stopped.stdout or ""
    lines = text.splitlines()
    # What a run says in the end, and every mean: the tables of a benchmark stand in docs/perf.md.
    kept = [line for line in lines if "geometric mean" in line or "FAILED" in line][:20]
    kept += [line for line in lines[-8 if kind == "bench" and not kept else -1:] if line not in kept]
    took = round(time.monotonic() - start, 1)
    print(f"{' '.join(words)}: status {status}, {took} s: {lines[-1] if lines else ''}", flush=True)
    return {"kind": kind, "families": families_of_run, "words": words, "status": status, "seconds": took, "result": kept}


def run(program, only):
    here = sources_text()
    built = subprocess.run([program, "sources"], capture_output=True, text=True).stdout
    if built != here:
        print(f"{program} was built from other sources than those here", file=sys.stderr)
        return 2
    card = ask(["nvidia-smi", "--query-gpu=name,driver_version,power.limit", "--format=csv,noheader"])
    toolkit = ask([program, "toolkit"])
    tree = families()
    if unknown := set(only) - tree.keys():
        print(f"no such family: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    old = load() if only and REPORT.is_file() else {"families": {}, "runs": []}
    renewed = set(only) or tree.keys()
    kept = {family: known for family, known in old["families"].items() if family in tree and family not in renewed}
    runs = [run for run in old["runs"] if set(run["families"]) & kept.keys()]
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        jobs = [pool.submit(run_one, program, "check", *row) for row in CHECKS if set(row[0]) & renewed]
        runs += [job.result() for job in jobs]
    runs += [run_one(program, "bench", *row) for row in BENCHES if set(row[0]) & renewed]
    about = {
        "made": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "card": card[0] if card else "unknown",
        "toolkit": toolkit[0] if toolkit else "unknown",
    }
    kept |= {family: {**about, "digest": digest_of(tree[family]), "files": tree[family]} for family in renewed}
    report = {"families": dict(sorted(kept.items())), "runs": runs}
    REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 1 if any(line.split(":")[0] in renewed for line in stale(report)) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--warn", action="store_true")
    parser.add_argument("--run", metavar="PROGRAM")
    parser.add_argument("--only", metavar="FAMILY,...", default="")
    parser.add_argument("--sources", metavar="FILE", nargs="?", const="")
    arguments = parser.parse_args()
    if arguments.sources is not None:
        if arguments.sources:
            pathlib.Path(arguments.sources).write_text(f'R"sources({sources_text()})sources"\n', encoding="utf-8")
        else:
            print(sources_text(), end="")
        return 0
    if arguments.run:
        return run(arguments.run, [family for family in arguments.only.split(",") if family])
    if arguments.check:
        return check(arguments.warn)
    parser.print_help()
    return 2


if __name__ == "__main__":
    sys.exit(main())
