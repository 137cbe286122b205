"""CTRGCN_light, versions 1 and 2: CTR-GCN's units with fewer topologies."""
