"""What a run tells people and programs: the page, the JSON, the terminal."""
