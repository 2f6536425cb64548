"""Programs for a TPU: random, illegal, and the workloads of the TPU paper."""
