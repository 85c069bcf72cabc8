"""Configuration of the daemon: file, environment and options to plain settings.

``loader.load`` reads and validates and leaves every configuration type behind;
``diff.diff`` tells what a reload does, and at what price. Only ``loader`` touches files
and the environment.

Nothing is imported here: the models cost 15 MB and 0.2 s, which a reflector started from
the command line alone, with ``settings`` and ``diff``, does without.
"""
