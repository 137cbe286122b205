"""Every network as one `nn.Sequential` of plain layers, BatchNorm folded: what is exported and
quantised."""
