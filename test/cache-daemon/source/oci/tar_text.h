#pragma once

#include <cstring>
#include <string>

#include <fmt/format.h>

namespace weighhouse::source::oci {

/// A header block with the checksum that it should have.
inline std::string WithChecksum(std::string block) {
  std::memcpy(block.data() + 148, "        ", 8);
  unsigned sum = 0;
  for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(block[i]);
  std::string text = fmt::format("{:06o}", sum);
  std::memcpy(block.data() + 148, text.c_str(), 7);
  return block;
}

/// One entry of a tar: its header, and its content in whole blocks.
inline std::string TarEntry(const std::string& name, const std::string& content, char type = '0') {
  std::string block(512, '\0');
  name.copy(block.data(), 100);
  fmt::format("{:011o}", content.size()).copy(block.data() + 124, 11);
  block[156] = type;
  std::memcpy(block.data() + 257, "ustar\00000", 8);
  block = WithChecksum(std::move(block)) + content;
  block.resize((block.size() + 511) / 512 * 512, '\0');
  return block;
}

/// A record of an extended header; its length counts itself.
inline std::string PaxRecord(const std::string& keyword, const std::string& value) {
  std::string rest = fmt::format(" {}={}\n", keyword, value);
  size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) ++length;
  return std::to_string(length) + rest;
}

}  // namespace weighhouse::source::oci
