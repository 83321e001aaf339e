"""The scheduler of a machine without Slurm: Dask's, with counted GPUs, behind submitit's interface."""
