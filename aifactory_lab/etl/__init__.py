"""ETL: raw records become features, as lazy Polars recipes that run on CPU, GPU and clusters."""
