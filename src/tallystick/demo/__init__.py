"""The main job, shown: a sandbox distributor's orders driven to cash through real processes, with faults, and tied out."""
