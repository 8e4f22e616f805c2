"""A data file becomes frozen float32 arrays and a plain-data preparation that can later prepare new rows."""
