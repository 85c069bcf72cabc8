"""Views of a running daemon: functions from ``DaemonView`` to rows of plain data."""
