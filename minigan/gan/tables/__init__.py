"""Tables of many runs, cell by cell: the robustness grid, the modes of stacked digits, and what such tables share."""
