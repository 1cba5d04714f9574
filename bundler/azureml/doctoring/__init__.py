"""What is looked at in a deployment, subject by subject; ``bundler.azureml.doctor`` joins them."""
