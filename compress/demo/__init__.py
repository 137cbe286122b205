"""A page that holds a deployed network and runs it: no server, no runtime, no request."""
