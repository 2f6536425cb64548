"""The main job: real images through a small network, every matrix product on generated Verilog.

==============  =================================================================================
``mnist``       5,000 images of handwritten digits, as a package ships them
``training``    a small network, trained in numpy in a few seconds
``network``     the same network in int8 and in bf16: all but the matrix products
``products``    matrix products on the golden model and on the RTL, compared bit for bit
``vcd``         reads waveforms
``picture``     draws which cells of the array are at work, from a waveform
``report``      the run: from images to the table
==============  =================================================================================
"""
