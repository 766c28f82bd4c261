"""Names in jobs and replies, for both sides of the sandbox's walls."""

PREDICT, LAYER_STATISTICS, MEAN_MODULE, ENCODE = "predict", "layer_statistics", "mean_module", "encode"

PREPROCESSING = "preprocessing"
"""The model that makes the other models' input of what is given."""
INFERENCE, UNCERTAINTY = "inference", "uncertainty."

LAYER_ID = "layer_id"
TOTALS = (
    "total_input", "total_mult_adds", "total_output_bytes", "total_param_bytes", "total_params", "trainable_params",
)  # fmt: skip
ROW = (
    "class_name", "depth", "depth_index", "executed", "var_name", "is_leaf_layer", "contains_lazy_param",
    "is_recursive", "input_size", "output_size", "kernel_size", "trainable_params", "num_params", "param_bytes",
    "output_bytes", "macs",
)  # fmt: skip
