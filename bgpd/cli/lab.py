"""``pybgpd lab``: labs from topology files, up, listed and down."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bgpd.lab.lab import Lab


@click.group()
def lab() -> None:
    """Run labs of many nodes in network namespaces on this machine (needs root)."""


@lab.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--keep", is_flag=True, help="Keep the lab running until `pybgpd lab down`."
)
def up(file: Path, *, keep: bool) -> None:
    """Start the lab that FILE describes, with its routers.

    Stays in the foreground and removes the lab at the end, unless --keep is given.
    """
    from bgpd.lab.errors import LabError  # noqa: PLC0415
    from bgpd.lab.lab import Lab, terminated_like_interrupted  # noqa: PLC0415
    from bgpd.lab.topology import load_topology  # noqa: PLC0415

    try:
        with terminated_like_interrupted():
            running = Lab(load_topology(file), is_kept=keep)
            try:
                running.up()
                running.start()
                _tell(running)
                if keep:
                    return
                click.echo("Press Ctrl-C to take it down.")
                signal.pause()
            except BaseException:
                running.down()
                raise
    except LabError as error:
        click.echo(f"pybgpd: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("removed the lab")


@lab.command(name="list")
def list_labs() -> None:
    """List the labs on this machine."""
    from bgpd.lab.state import read_states  # noqa: PLC0415

    for state in read_states():
        kind = "kept" if state.is_kept else f"of process {state.owner_pid}"
        if state.is_orphan:
            kind = "left behind"
        count = len(state.namespaces)
        click.echo(f"{state.lab_id}  {state.name}  {count} namespaces  {kind}")


@lab.command()
@click.argument("lab_id", required=False)
def down(lab_id: str | None) -> None:
    """Remove the lab LAB_ID, or every lab that was kept or left behind."""
    from bgpd.lab.lab import labs_down  # noqa: PLC0415

    gone = labs_down(
        lambda state: (
            state.lab_id == lab_id if lab_id else state.is_kept or state.is_orphan
        )
    )
    if lab_id and not gone:
        click.echo(f"pybgpd: no lab {lab_id}", err=True)
        sys.exit(1)
    for name in gone:
        click.echo(f"removed {name}")


def _tell(running: "Lab") -> None:
    click.echo(f"{running.topology.name} is up, id {running.lab_id}")
    for name, machine in running.topology.machines.items():
        kind = machine.router.kind
        addrs = ", ".join(str(interface.ip) for interface in machine.all_addresses)
        what = "" if kind == "none" else f"  {kind}"
        click.echo(f"  ip netns exec {running.namespace(name).name}  # {addrs}{what}")
        for pod in machine.pods:
            space = running.namespace(pod.name).name
            click.echo(f"  ip netns exec {space}  # {pod.address}, a pod on it")
    click.echo(f"Configurations, logs and control sockets are in {running.folder}")
