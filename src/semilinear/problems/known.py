"""Known values of solutions, for the published parameters of the problem of each name.

Each value is that of luan_ostermann5, and its agreement the difference from the second method that
its line names, but not below 1e-12, since rounding differs from one machine to another.
"""

from __future__ import annotations

from semilinear.problems.problem import Known

KNOWN: dict[str, tuple[Known, ...]] = {
    "allen_cahn": (
        # 4000 steps; etdab6 with 8000.
        Known(20.0, "mean", 0.12781520918067, 1e-12),
        Known(20.0, "rms", 0.86318820898916, 1e-12),
        # 20000 steps; etdab6 with 20000.
        Known(500.0, "rms", 0.96764560804213, 1e-12),
    ),
    "allen_cahn_dirichlet": (
        # 1000 steps; etdab6 with 1000.
        Known(3.0, "u(x_5)", 0.90016508910736, 1e-12),
        Known(3.0, "rms", 0.80489609289031, 1e-12),
        # 6000 steps; etdab6 with 8000.
        Known(30.0, "u(x_5)", 0.95241223995911, 1e-12),
        Known(30.0, "rms", 0.82395804718385, 1e-12),
    ),
    "burgers": (
        # 2000 steps; etdab6 with 2000.
        Known(1.0, "u(0)", 0.52279458668328, 1e-12),
        Known(1.0, "max", 0.86667571194531, 1e-12),
        Known(1.0, "rms", 0.33143731165365, 1e-12),
    ),
    "burgers_chebfun": (
        # 16000 steps; krogstad4 with 20000.
        Known(1.0, "u(0)", 0.57189133762896, 1e-12),
        Known(1.0, "max", 0.57999083622186, 1e-12),
        Known(1.0, "rms", 0.21326967272545, 1e-12),
        # 20000 steps; hochbruck_ostermann4 with 20000.
        Known(20.0, "u(0)", 0.13567777745103, 1e-12),
        Known(20.0, "max", 0.16171311509828, 1e-12),
        Known(20.0, "rms", 0.12153125096872, 1e-12),
    ),
    "ginzburg_landau": (
        # 3000 steps; etdab6 with 6000.
        Known(10.0, "Re u(50, 50)", -0.73400862636943, 1e-12),
        Known(10.0, "max Re u", 0.99530293978442, 1e-12),
        Known(10.0, "mean |u|^2", 0.80294423718598, 1e-12),
    ),
    "gray_scott": (
        # 1600 steps; etdab6 with 3200.
        Known(100.0, "u(centre)", 0.74378925382849, 1e-12),
        Known(100.0, "mean u", 0.9433709014064, 1e-12),
        Known(100.0, "mean v", 0.020416614675936, 1e-12),
        # 5000 steps; etdab6 with 16000.
        Known(1000.0, "u(centre)", 0.91397142809775, 3e-12),
        Known(1000.0, "mean u", 0.70400283998101, 1e-12),
        Known(1000.0, "mean v", 0.10428279718853, 2e-12),
    ),
    "kdv": (
        # 16000 steps; etdab6 with 16000.
        Known(0.001, "max", 1874.3331591229, 1e-12),
        Known(0.001, "rms", 274.46082479966, 1e-12),
    ),
    "kuramoto_sivashinsky": (
        # 2000 steps; etdab6 with 4000.
        Known(10.0, "u(16 pi)", -0.58794891904715, 1e-12),
        Known(10.0, "max", 2.378736460881, 1e-12),
        Known(10.0, "rms", 0.8462655659135, 1e-12),
        # 10000 steps; etdab6 with 20000.
        Known(50.0, "u(16 pi)", 0.91320020622608, 2e-10),
        Known(50.0, "max", 2.617274821835, 3e-11),
        Known(50.0, "rms", 1.2272305210794, 2e-12),
    ),
    "kuramoto_sivashinsky_chebfun": (
        # 2000 steps; etdab6 with 4000.
        Known(10.0, "u(16 pi)", -0.62055212367555, 1e-12),
        Known(10.0, "max", 2.3280497746915, 1e-12),
        Known(10.0, "rms", 0.84689332922861, 1e-12),
        # 10000 steps; etdab6 with 20000.
        Known(50.0, "u(16 pi)", 0.41903396354855, 6e-10),
        Known(50.0, "max", 2.6281218901526, 2e-11),
        Known(50.0, "rms", 1.2391768672995, 1e-12),
    ),
    "schnakenberg": (
        # 2000 steps; hochbruck_ostermann4 with 3000.
        Known(2.0, "u(centre)", 1.0575546929547, 1e-12),
        Known(2.0, "mean u", 0.99972903855679, 1e-12),
        Known(2.0, "mean v", 0.90010612765368, 1e-12),
        # 8000 steps; hochbruck_ostermann4 with 12000.
        Known(10.0, "u(centre)", 1.0804566553484, 1e-12),
        Known(10.0, "mean u", 1.0000062096539, 1e-12),
        Known(10.0, "mean v", 0.89992811672249, 1e-12),
    ),
}
