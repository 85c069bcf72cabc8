import sys

from tests.support.commands import run

SCRIPT = """
import sys
import bgpd.cli.daemon, bgpd.daemon.daemon
heavy = {'pydantic', 'yaml', 'bgpd.calico', 'bgpd.datastore', 'bgpd.config.model'}
sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)
"""


def test_a_reflector_without_a_file_loads_no_models_and_no_datastore() -> None:
    run(sys.executable, "-c", SCRIPT)
