"""Long runs that try to lose or double a paid generation: `make torture` (kills and cuts), `make soak`."""
