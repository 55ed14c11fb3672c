#include "coordinator/result/compressor.hpp"

#include <array>
#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

namespace gristmill::coordinator {
namespace {

using Piece = std::array<char, 64 * 1024>;

class Gzip final : public Compressor {
public:
  static Result<std::unique_ptr<Compressor>> create() {
    std::unique_ptr<Gzip> gzip{new Gzip};
    // 16 more than the window: a gzip header, whose time is 0 unless somebody sets it.
    if (deflateInit2(&gzip->stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
      return fail(ErrorCode::internal, "zlib has no memory to begin a gzip stream");
    return gzip;
  }
  ~Gzip() override { deflateEnd(&stream_); }

  Result<> add(std::string_view bytes, bool last, std::string& out) override {
    // zlib counts what comes in with 32 bits.
    constexpr std::size_t most = 1u << 30;
    do {
      const std::string_view now = bytes.substr(0, most);
      bytes.remove_prefix(now.size());
      GRISTMILL_TRY(add_some(now, last && bytes.empty(), out));
    } while (!bytes.empty());
    return {};
  }

private:
  Gzip() = default;

  Result<> add_some(std::string_view bytes, bool last, std::string& out) {
    stream_.next_in = reinterpret_cast<z_const Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(piece_.data());
      stream_.avail_out = static_cast<uInt>(piece_.size());
      const int status = deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
      if (status == Z_STREAM_ERROR)
        return fail(ErrorCode::internal, "zlib cannot go on with a gzip stream");
      out.append(piece_.data(), piece_.size() - stream_.avail_out);
    } while (stream_.avail_out == 0);
    return {};
  }

  z_stream stream_{};
  Piece piece_;
};

class Zstd final : public Compressor {
public:
  static Result<std::unique_ptr<Compressor>> create() {
    std::unique_ptr<Zstd> zstd{new Zstd};
    if (!zstd->context_ ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zstd->context_.get(), ZSTD_c_checksumFlag, 1)) != 0)
      return fail(ErrorCode::internal, "zstd has no memory to begin a stream");
    return zstd;
  }

  Result<> add(std::string_view bytes, bool last, std::string& out) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer into{piece_.data(), piece_.size(), 0};
      const std::size_t left =
          ZSTD_compressStream2(context_.get(), &into, &in, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left) != 0)
        return fail(ErrorCode::internal, fmt::format("zstd: {}", ZSTD_getErrorName(left)));
      out.append(piece_.data(), into.pos);
      if (last ? left == 0 : in.pos == in.size) return {};
    }
  }

private:
  Zstd() = default;
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context_{ZSTD_createCCtx()};
  Piece piece_;
};

} // namespace

Result<std::unique_ptr<Compressor>> Compressor::of(OutputForm form) {
  if (form == OutputForm::gzip) return Gzip::create();
  if (form == OutputForm::zstd) return Zstd::create();
  return std::unique_ptr<Compressor>{};
}

} // namespace gristmill::coordinator
