"""What is looked at in a deployment, subject by subject; ``bundler.doctor`` joins them."""
