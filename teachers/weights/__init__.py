"""Every weights file that people have, read without running anything in it; and what a network
weighs where no formula says it."""
