"""Every byte of a deployed folder, attributed: `python -m compress.budget FOLDER`."""
