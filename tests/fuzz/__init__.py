"""Every reader of outside data, against anything: by hypothesis in CI, guided by coverage with `make fuzz`."""
