"""Sources on other machines: ``s3://``, ``gs://`` and ``https://``, through one library (obstore).

`coverslip.formats.remote.place.Places` is what an application uses. An address is given by whoever starts the server,
never by a request.
"""
