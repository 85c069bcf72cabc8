"""Configuration of the daemon: file, environment and flags to plain settings.

``load`` reads and validates, ``to_settings`` leaves every configuration type behind, ``diff``
tells what a reload does. Only the ``loader`` touches files and the environment.
"""
