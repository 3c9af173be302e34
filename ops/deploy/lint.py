"""What `make lint-deploy` runs: every file of ops/deploy past the tool that will read it.

What has no tool on this machine is named and skipped; a tool that says no fails the run.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import compose_spec
import yaml

HERE = pathlib.Path(__file__).parent
KUBERNETES = ["1.30.0", "1.32.0", "1.35.0", "1.37.0"]


def run(*command, **options):
    """Runs a command; its words are shown if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stdout}")
    return done.stdout


def kubernetes():
    """The manifests as kustomize builds them, against the schemas of several versions."""
    if not shutil.which("kubectl"):
        return "skipped: no kubectl"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(run("kubectl", "kustomize", HERE / "kubernetes"))
        file.flush()
        for version in KUBERNETES:
            run(sys.executable, "-m", "kubernetes_validate", "--strict", "-k", version, file.name)
    return f"valid for {', '.join(KUBERNETES)}"


def variables(text):
    """The compose file's own variables, as they are without a .env."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$")


def compose():
    """The compose file by a parser of its specification."""
    document = yaml.safe_load(variables((HERE / "compose/compose.yaml").read_text()))
    parsed = compose_spec.PyCompose.from_json(json.dumps(document))
    parsed.validate()
    run("bash", "-n", HERE / "compose/foundationdb-setup.sh")
    return f"{len(document['services'])} services"


def haproxy():
    """HAProxy's configuration, with its example and with what the compose file says."""
    program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if not program:
        return "skipped: no haproxy"
    lines = (HERE / "haproxy/example.env").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    document = yaml.safe_load((HERE / "compose/compose.yaml").read_text())
    for told in (example, document["services"]["haproxy"]["environment"]):
        run(program, "-c", "-q", "-f", HERE / "haproxy/haproxy.cfg", env=dict(os.environ, **told))
    return "valid"


def systemd():
    """The unit, as if the program were installed."""
    if not shutil.which("systemd-analyze"):
        return "skipped: no systemd"
    unit = (HERE / "systemd/godwit.service").read_text()
    with tempfile.TemporaryDirectory() as folder:
        # Whether a program is there is looked up, and this one need not be.
        path = pathlib.Path(folder, "godwit.service")
        path.write_text(unit.replace("/usr/bin/godwit serve", "/bin/true serve"))
        words = run("systemd-analyze", "verify", path)
        if words.strip():
            sys.exit(words)
        scored = run("systemd-analyze", "security", "--offline=true", path)
    run("systemd-sysusers", "--dry-run", (HERE / "systemd/godwit.sysusers.conf").resolve())
    return scored.strip().splitlines()[-1].split(":", 1)[1].strip()


for check in (kubernetes, compose, haproxy, systemd):
    print(f"{check.__name__:<12}{check()}")
