"""Every weights file that people have, read without running anything in it."""
