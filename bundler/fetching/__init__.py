"""Lock → wheels in the cache. Enter by ``fetch.fetch``, with the ``index_options`` that pip's configuration gives.

* A wheel enters the cache only with the size and the sha256 that the lock gives.
* Transient errors are retried; every error names its URL, without credentials.

In reading order: ``index_options``, ``fetch``, ``downloads``, ``http_transport``, ``credentials``, ``certificates``,
``proxies``, ``cancellable_connections``; ``range_requests`` reads parts of a remote file, ``index_pages`` what an
index has.
"""
