"""The networks. A student is a smaller spec of a teacher.

Importing this package prepares the process for Paddle 2.6 and 3, so every package of the project
imports it first:

- `zlib` is loaded before Paddle, whose library exports zlib symbols of its own; the other way round
  a later `import paddleslim` dies with "inconsistent stream state".
- FLAGS_use_stride_kernel=0: with strided kernels, transpose + reshape goes through a slow
  element-wise copy on CPU.
- GLOG_minloglevel=1: Paddle's C++ library keeps what it does to itself and prints warnings only.
- MKL_DEBUG_CPU_TYPE=5, on CPUs with AVX2 that are not Intel's: the MKL in Paddle's library takes a
  slow path there by itself. The last bits of every product change with it; provenance records it.
- Paddle 3 warns of a compiler cache that nobody here needs, whenever it is imported.
"""

import os
import warnings
import zlib  # noqa: F401  (before Paddle, see above)

from teachers import cpu

# Defaults alone: a flag that somebody set in the shell is meant.
os.environ.setdefault("FLAGS_use_stride_kernel", "0")
os.environ.setdefault("GLOG_minloglevel", "1")
cpu.prepare_mkl(os.environ, cpu.read())
warnings.filterwarnings("ignore", message="No ccache found", category=UserWarning)
