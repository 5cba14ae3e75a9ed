#include "cache-daemon/fill/piece_table.h"

#include <algorithm>

#include "base/error.h"

namespace weighhouse::fill {

void PieceTable::Move(size_t index, Place from, Place to) {
  CHECK(index < pieces_.size() && pieces_[index].place == from);
  pieces_[index].place = to;
}

void PieceTable::Resume(size_t index) {
  Move(index, Place::kMissing, Place::kDisk);
  pieces_[index].written = true;
  while (first_missing_ < pieces_.size() && pieces_[first_missing_].place >= Place::kWhole) {
    ++first_missing_;
  }
}

void PieceTable::Hold(size_t index) { Move(index, Place::kMissing, Place::kFilling); }

void PieceTable::Forget(size_t index) { Move(index, Place::kFilling, Place::kMissing); }

void PieceTable::Fill(size_t index) {
  Move(index, Place::kFilling, Place::kWhole);
  while (first_missing_ < pieces_.size() && pieces_[first_missing_].place >= Place::kWhole) {
    ++first_missing_;
  }
}

void PieceTable::Written(size_t index) {
  CHECK(pieces_[index].place == Place::kWhole && !pieces_[index].written);
  pieces_[index].written = true;
  EndIfDone(index);
}

void PieceTable::Hashed(size_t index) {
  CHECK(index < next_to_hash_ && !pieces_[index].hashed);
  pieces_[index].hashed = true;
  if (pieces_[index].place == Place::kRead) --reading_;
  EndIfDone(index);
}

void PieceTable::EndIfDone(size_t index) {
  Piece& piece = pieces_[index];
  if (!piece.written || !piece.hashed) return;
  piece.place = Place::kDone;
  ++done_;
}

std::optional<size_t> PieceTable::TakeNextToHash() {
  if (next_to_hash_ == pieces_.size()) return std::nullopt;
  Place place = pieces_[next_to_hash_].place;
  if (place != Place::kWhole && place != Place::kRead) return std::nullopt;
  return next_to_hash_++;
}

std::optional<size_t> PieceTable::NextToRead() const {
  if (reading_ >= kReadAhead) return std::nullopt;
  for (size_t index = next_to_hash_; index < pieces_.size(); ++index) {
    Place place = pieces_[index].place;
    if (place == Place::kDisk) return index;
    if (place < Place::kWhole) return std::nullopt;
  }
  return std::nullopt;
}

void PieceTable::BeginRead(size_t index) {
  Move(index, Place::kDisk, Place::kReading);
  ++reading_;
}

void PieceTable::Read(size_t index) { Move(index, Place::kReading, Place::kRead); }

bool PieceTable::MayRelease(size_t index) const {
  const Piece& piece = pieces_[index];
  return piece.place == Place::kWhole && piece.written && index >= next_to_hash_;
}

void PieceTable::Release(size_t index) {
  CHECK(MayRelease(index));
  Move(index, Place::kWhole, Place::kDisk);
}

std::vector<ByteRange> WholePieces(const std::vector<ByteRange>& ranges, Bytes size,
                                   Bytes piece_size) {
  std::vector<ByteRange> whole;
  for (auto range = ranges.begin(); range != ranges.end();) {
    Bytes begin = range->begin;
    Bytes end = range->end;
    // Ranges that touch are one: a piece may lie across their border.
    for (++range; range != ranges.end() && range->begin <= end; ++range) {
      end = std::max(end, range->end);
    }
    begin = (begin + piece_size - 1) / piece_size * piece_size;
    end = end >= size ? size : end / piece_size * piece_size;  // the last piece may be shorter
    if (begin < end) whole.push_back({.begin = begin, .end = end});
  }
  return whole;
}

std::vector<ByteRange> Gaps(const std::vector<ByteRange>& ranges, Bytes size) {
  std::vector<ByteRange> gaps;
  Bytes position = 0;
  for (const ByteRange& range : ranges) {
    if (position < range.begin) gaps.push_back({.begin = position, .end = range.begin});
    position = range.end;
  }
  if (position < size) gaps.push_back({.begin = position, .end = size});
  return gaps;
}

}  // namespace weighhouse::fill
