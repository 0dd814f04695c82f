/// \file archive_reader.hpp
/// Reads an archive file by its format's description, with zstd alone.
#pragma once

#include <zstd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace purgekit {

struct ReadChunk {
  nlohmann::json record;
  std::string lines;
};

struct ReadArchive {
  nlohmann::json header;
  std::vector<ReadChunk> chunks;

  std::vector<nlohmann::json> rows() const {
    std::vector<nlohmann::json> out;
    for (const ReadChunk& chunk : chunks) {
      for (std::size_t at = 0; at < chunk.lines.size();) {
        const std::size_t end = chunk.lines.find('\n', at);
        out.push_back(nlohmann::json::parse(chunk.lines.substr(at, end - at)));
        at = end + 1;
      }
    }
    return out;
  }
};

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::string decompress(const char* data, std::size_t size) {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  std::string out;
  std::string piece(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{data, size, 0};
  std::size_t left = 1;
  while (in.pos < in.size || left != 0) {
    ZSTD_outBuffer to{piece.data(), piece.size(), 0};
    left = ZSTD_decompressStream(context, &to, &in);
    if (ZSTD_isError(left) != 0 || (in.pos == in.size && to.pos == 0 && left != 0)) throw std::runtime_error("a frame that can't be read");
    out.append(piece.data(), to.pos);
  }
  ZSTD_freeDCtx(context);
  return out;
}

inline ReadArchive read_archive(const std::filesystem::path& path) {
  const std::string bytes = read_bytes(path);
  ReadArchive out;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto word = [&](std::size_t from) {
      std::uint32_t number = 0;
      std::memcpy(&number, bytes.data() + from, sizeof number);
      return number;
    };
    const std::uint32_t magic = word(at);
    if ((magic & 0xFFFFFFF0u) == 0x184D2A50u) {
      const nlohmann::json content = nlohmann::json::parse(bytes.substr(at + 8, word(at + 4)));
      if (magic == 0x184D2A50u) out.header = content;
      else out.chunks.push_back({content, ""});
      at += 8 + word(at + 4);
    } else {
      const std::size_t size = ZSTD_findFrameCompressedSize(bytes.data() + at, bytes.size() - at);
      if (ZSTD_isError(size) != 0) throw std::runtime_error("a frame that can't be read");
      out.chunks.back().lines = decompress(bytes.data() + at, size);
      at += size;
    }
  }
  return out;
}

}  // namespace purgekit
