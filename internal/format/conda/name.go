package conda

import "strings"

// renamed are conda packages that hold a Python project of another name.
var renamed = map[string]string{
	"airflow": "apache-airflow", "antlr-python-runtime": "antlr4-python3-runtime", "apache-beam-with-aws": "apache-beam",
	"apache-beam-with-gcp": "apache-beam", "brotli-python": "brotli", "dask-core": "dask", "docker-py": "docker",
	"faiss": "faiss-cpu", "lightning-app": "lightning",
	"matplotlib-base": "matplotlib", "msgpack-python": "msgpack",
	"numpy-base": "numpy", "neo4j-python-driver": "neo4j", "opencv": "opencv-python",
	"py-lightgbm": "lightgbm", "py-opencv": "opencv-python", "py-xgboost": "xgboost",
	"py-xgboost-cpu": "xgboost", "py-xgboost-gpu": "xgboost", "pyqt": "pyqt5", "pytables": "tables", "python-annoy": "annoy",
	"python-clang": "clang", "python-confluent-kafka": "confluent-kafka", "python-duckdb": "duckdb", "python-flatbuffers": "flatbuffers",
	"python-graphviz": "graphviz", "python-kubernetes": "kubernetes", "python-libarchive-c": "libarchive-c",
	"python-lmdb": "lmdb", "python-sentencepiece": "sentencepiece",
	"python-tzdata": "tzdata", "python-xxhash": "xxhash", "pytorch": "torch",
	"pytorch-cpu": "torch", "pytorch-gpu": "torch", "ray-core": "ray", "ray-dashboard": "ray", "ray-default": "ray", "ray-rllib": "ray",
	"ray-serve": "ray", "ray-train": "ray", "ray-tune": "ray", "redis-py": "redis", "seaborn-base": "seaborn",
	"sentencepiece-python": "sentencepiece", "tensorflow-base": "tensorflow", "tensorflow-eigen": "tensorflow", "tensorflow-mkl": "tensorflow",
	"torchvision-cpu": "torchvision", "uvicorn-standard": "uvicorn", "xgboost-gpu": "xgboost",
}

// others are well-known packages that hold no Python project, although for some
// of them PyPI has a project of the same name.
const others = " arrow-cpp aws-sdk-cpp bash binutils blas boost boost-cpp brotli bzip2 c-ares c-compiler ca-certificates cairo clang clangxx " +
	"cmake compilers cpuonly cudatoolkit cudnn curl cxx-compiler cyrus-sasl dav1d dbus double-conversion eigen expat ffmpeg fftw flatbuffers " +
	"fontconfig fortran-compiler freetype fribidi gcc gdal-bin gdk-pixbuf geos gettext gflags gfortran giflib git git-lfs glib glog gmp gnutls go " +
	"graphite2 graphviz grpc-cpp gstreamer gtk2 gtk3 gxx harfbuzz hdf4 hdf5 icu imagemagick intel-openmp jemalloc jpeg jq keyutils krb5 lame " +
	"lcms2 ld_impl_linux-64 lerc leveldb llvm llvm-openmp lz4-c m4 magma make mariadb mesa mkl mongodb mpc mpfr mpi mpich mysql nasm nccl ncurses " +
	"nettle ninja nlohmann_json node nodejs nomkl nspr nss nvtx openblas opencl openh264 openjdk openjpeg openldap openmpi openssh openssl orc p11-kit " +
	"pandoc parallel pango patch patchelf pcre pcre2 perl pixman pkg-config poppler postgresql proj pthread-stubs pypy pypy3.9 python python_abi " +
	"pytorch-cuda pytorch-mutex qt qt-main r-base rapidjson rdma-core re2 readline redis redis-server rhash ripgrep ruby rust s2n sed snappy " +
	"spdlog sqlite suitesparse svt-av1 swig sysroot_linux-64 tar tbb tensorrt tesseract texlive tk tmux tree tzdata ucx unixodbc unzip vc vim wget " +
	"x264 x265 xerces-c xorgproto xz yaml yaml-cpp zeromq zip zlib zlib-ng zstd "

// foreign says whether a name is known to be no Python project. Names that
// begin with an underscore are conda's virtual and mutex packages, r- and perl-
// are other languages', lib and cuda are native ones.
func foreign(name string) bool {
	if strings.Contains(others, " "+name+" ") {
		return true
	}
	if _, found := renamed[name]; found || strings.HasPrefix(name, "libsvm") || strings.HasPrefix(name, "librosa") || strings.HasPrefix(name, "libcst") ||
		strings.HasPrefix(name, "libsass") || strings.HasPrefix(name, "libarchive-c") || strings.HasPrefix(name, "cuda-python") {
		return false
	}
	for _, prefix := range []string{"_", "lib", "r-", "perl-", "cuda-", "xorg-", "font-", "fonts-", "gcc_", "gxx_", "gfortran_", "mpi-", "sysroot_", "binutils_", "aws-c-", "gst-", "bioconductor-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return strings.HasSuffix(name, "-cpp") || strings.HasSuffix(name, "_linux-64")
}
