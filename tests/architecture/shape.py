#!/usr/bin/env python3
"""The size mirror of the code: prints what ops/decisions calls its shape, against what good code bases show.

A mirror, not a gate: it never fails. Lines of test code are those below `#[cfg(test)]` at the end of a file, and
all of tests/, benches/ and examples/ folders.
"""
import pathlib
import re
import subprocess

FN = re.compile(r"^\s*(pub(\([^)]*\))?\s+)?(const\s+)?(async\s+)?(unsafe\s+)?fn\s+\w+")


def source_files():
    listed = subprocess.run(["git", "ls-files", "*.rs"], capture_output=True, text=True, check=True).stdout.split()
    return [pathlib.Path(f) for f in listed]


def function_lengths(lines):
    """Lengths of functions, from the line of `fn` to the brace that closes it at the same depth."""
    out, i = [], 0
    while i < len(lines):
        if FN.match(lines[i]):
            indent = len(lines[i]) - len(lines[i].lstrip())
            j = i
            while j < len(lines) and not lines[j].rstrip().endswith((";", "{", "}")):
                j += 1
            if j < len(lines) and lines[j].rstrip().endswith("{"):
                k = j + 1
                while k < len(lines) and not (lines[k].startswith(" " * indent + "}") and lines[k].strip()[0] == "}"):
                    k += 1
                out.append(k - i + 1)
        i += 1
    return out


def share(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "-"


def main():
    functions, sizes, comments, code, tests, proto_lines, proto_refs = [], [], 0, 0, 0, 0, 0
    for path in source_files():
        lines = path.read_text(encoding="utf-8").splitlines()
        sizes.append((len(lines), path))
        in_tests_folder = any(p in ("tests", "benches", "examples") for p in path.parts)
        cut = next((i for i, line in enumerate(lines) if line.strip() == "#[cfg(test)]"), len(lines))
        if in_tests_folder:
            cut = 0
        tests += len(lines) - cut
        production = lines[:cut]
        code += len(production)
        comments += sum(line.lstrip().startswith("//") for line in production)
        functions += function_lengths(production)
        if any(p.endswith("-proto") for p in path.parts):
            proto_lines += len(production)
            proto_refs += sum(len(re.findall(r"RFC ?\d+", line)) for line in production)
    n, lines_in = len(functions), sum(functions)
    print(f"files                      {len(sizes)}, {code} lines of code, {tests} of tests")
    print(f"files under 500 lines      {share(sum(s < 500 for s, _ in sizes), len(sizes))} (90 %)")
    print(f"functions under 35 lines   {share(sum(f < 35 for f in functions), n)} (90 %)")
    print(f"functions over 100 lines   {share(sum(f > 100 for f in functions), n)} (at most 2 %)")
    print(f"code in functions over 200 {share(sum(f for f in functions if f > 200), lines_in)} (at most 5 %)")
    print(f"comment lines              {share(comments, code)} (12-20 %)")
    print(f"RFC references in *-proto  {1000 * proto_refs / max(1, proto_lines):.1f} per 1,000 lines (10 or more)")
    print(f"lines that are tests       {share(tests, code + tests)} (a third to a half)")
    for size, path in sorted(sizes, reverse=True)[:8]:
        print(f"  {size:5} {path}")


main()
