// The CUDA twins of numpy_neighbours.py, in the same order and under the same names.
//
// They are compiled behind kernels.cu, whose rules and helpers are theirs too.

// ---- One grid for several layers ---------------------------------------------------

// numpy: the sum over a block, times factor / side**2.  `lines` are the rows of all channels.
extern "C" __global__ void block_mean(float* means, const float* features, double factor,
                                      long long lines, long long height, long long width,
                                      long long full_height, long long full_width,
                                      long long side) {
    float share = (float)(factor / (side * side));
    FOR_EACH_LINE(line, lines) {
        const float* top = features + (line / height * full_height + line % height * side) * full_width;
        FOR_EACH_COLUMN(column, width) {
            float sum = 0.0f;
            for (long long r = 0; r < side; ++r)
                for (long long c = 0; c < side; ++c) sum += top[r * full_width + column * side + c];
            means[line * width + column] = sum * share;
        }
    }
}

// Each pixel takes from its block, where the NumPy twin gives to each pixel of a block.
extern "C" __global__ void block_mean_backward(float* d_features, const float* d_means,
                                               double factor, long long lines, long long height,
                                               long long width, long long full_height,
                                               long long full_width, long long side,
                                               long long add) {
    float share = (float)(factor / (side * side));
    FOR_EACH_LINE(line, lines) {
        long long row = line % full_height / side;
        const float* pulls = d_means + (line / full_height * height + row) * width;
        FOR_EACH_COLUMN(full_column, full_width) {
            long long column = (unsigned)full_column / (unsigned)side;  // of 32 bits: far faster
            float pull = row < height && column < width ? pulls[column] * share : 0.0f;
            float* here = d_features + line * full_width + full_column;
            *here = add ? *here + pull : pull;
        }
    }
}

// A point of a grid on a line of `length` pixels: the pixels before and behind it, and how far
// it is from the first of them.
struct Point {
    long long before, after;
    double t;
};

__device__ Point point_at(long long index, double step, double first, long long length) {
    double place = first + step * index;
    place = place < 0.0 ? 0.0 : place > length - 1 ? (double)(length - 1) : place;
    long long before = (long long)place;
    return {before, before + 1 < length ? before + 1 : length - 1, place - before};
}

// numpy: R F C'
extern "C" __global__ void resize(float* resized, const float* features, double factor,
                                  double row_step, double first_row, double column_step,
                                  double first_column, long long lines, long long height,
                                  long long width, long long full_height, long long full_width) {
    FOR_EACH_LINE(line, lines) {
        Point row = point_at(line % height, row_step, first_row, full_height);
        const float* channel = features + line / height * full_height * full_width;
        const float* above = channel + row.before * full_width;
        const float* below = channel + row.after * full_width;
        float lower = (float)(row.t * factor), upper = (float)((1.0 - row.t) * factor);
        FOR_EACH_COLUMN(c, width) {
            Point column = point_at(c, column_step, first_column, full_width);
            float left = above[column.before] * upper + below[column.before] * lower;
            float right = above[column.after] * upper + below[column.after] * lower;
            resized[line * width + c] = left + (right - left) * (float)column.t;
        }
    }
}

// The points, of `count`, that a pixel may count for, and how far the first is behind the pixel.
struct Reach {
    long long first, last;
    float distance;
};

__device__ Reach reach_of(long long pixel, double step, double over_step, double first,
                          long long count) {
    double low = floor((pixel - 1 - first) * over_step), high = ceil((pixel + 1 - first) * over_step);
    long long from = low < 0.0 ? 0 : low > count - 1 ? count - 1 : (long long)low;
    long long to = high < 0.0 ? 0 : high > count - 1 ? count - 1 : (long long)high;
    return {from, to, (float)(first + step * from - pixel)};
}

// numpy: the matrix's entry: how much the pixel counts for a point at this `distance` behind it.
// Points beyond the picture are at its first pixel, or at its last.
__device__ float share_of(float distance, bool is_first, bool is_last) {
    if (is_first && distance < 0.0f || is_last && distance > 0.0f) return 1.0f;
    float share = 1.0f - fabsf(distance);
    return share > 0.0f ? share : 0.0f;
}

// numpy: R' d C.  Each pixel gathers from the points around it.
extern "C" __global__ void resize_backward(float* d_features, const float* d_resized,
                                           double factor, double row_step, double first_row,
                                           double column_step, double first_column,
                                           long long lines, long long height, long long width,
                                           long long full_height, long long full_width,
                                           long long add) {
    double over_row = 1.0 / row_step, over_column = 1.0 / column_step;
    float row_by = (float)row_step, column_by = (float)column_step, scale = (float)factor;
    FOR_EACH_LINE(line, lines) {
        long long row = line % full_height;
        const float* pulls = d_resized + line / full_height * height * width;
        Reach rows = reach_of(row, row_step, over_row, first_row, height);
        FOR_EACH_COLUMN(column, full_width) {
            Reach columns = reach_of(column, column_step, over_column, first_column, width);
            double pull = 0.0;
            for (long long r = rows.first; r <= rows.last; ++r) {
                float along = 0.0f;
                for (long long c = columns.first; c <= columns.last; ++c) {
                    float distance = columns.distance + (c - columns.first) * column_by;
                    along += pulls[r * width + c] *
                             share_of(distance, column == 0, column == full_width - 1);
                }
                float distance = rows.distance + (r - rows.first) * row_by;
                pull += share_of(distance, row == 0, row == full_height - 1) * along;
            }
            float* here = d_features + line * full_width + column;
            *here = (add ? *here : 0.0f) + (float)pull * scale;
        }
    }
}

// ---- Nearest vectors ---------------------------------------------------------------

constexpr double TINY_SQUARE = 1e-8;  // of a vector's length

// numpy: vectors / lengths.  A thread goes down a column, beside its neighbours.
extern "C" __global__ void unit_vectors(float* units, const float* vectors, long long channels,
                                        long long count) {
    FOR_EACH(n, count) {
        double square = 0.0;
        for (long long c = 0; c < channels; ++c)
            square += (double)vectors[c * count + n] * vectors[c * count + n];
        float over = (float)(1.0 / sqrt(square > TINY_SQUARE ? square : TINY_SQUARE));
        for (long long c = 0; c < channels; ++c) units[c * count + n] = vectors[c * count + n] * over;
    }
}

// numpy: (queries.T @ vectors).argmax(axis=1), without the product: as in gram_partials a block
// computes a TILE x TILE square of it at a time, and each thread remembers the largest that it has
// seen in each of its rows.  A block goes through a slice of the vectors for one tile of queries.
//
// Blocks: slices * tiles, where tiles = ceil(count / TILE); 256 threads each.
extern "C" __global__ void nearest_partials(float* products, int* index, const float* queries,
                                            const float* vectors, long long channels,
                                            long long count, long long others, long long slices) {
    __shared__ float rows[DEPTH][TILE + 2];
    __shared__ float columns[DEPTH][TILE + 2];
    __shared__ float largest[TILE][SIDE];
    __shared__ int places[TILE][SIDE];

    long long tiles = (count + TILE - 1) / TILE;
    long long first_row = blockIdx.x % tiles * TILE;
    long long slice = blockIdx.x / tiles;
    long long squares = (others + TILE - 1) / TILE;
    long long first_square = squares * slice / slices, end = squares * (slice + 1) / slices;

    int my_row = threadIdx.x / SIDE;
    int my_column = threadIdx.x % SIDE;
    float best[EACH];
    int place[EACH];
    for (int r = 0; r < EACH; ++r) {
        best[r] = -3.402823e38f;
        place[r] = (int)(first_square * TILE);
    }
    for (long long square = first_square; square < end; ++square) {
        long long first_column = square * TILE;
        float sum[EACH][EACH] = {};
        for (long long offset = 0; offset < channels; offset += DEPTH) {
            for (int e = 0; e < EACH; ++e) {  // neighbours read neighbours
                int position = threadIdx.x % TILE, channel = threadIdx.x / TILE * EACH + e;
                long long c = offset + channel;
                long long row = first_row + position, column = first_column + position;
                rows[channel][position] =
                    c < channels && row < count ? queries[c * count + row] : 0.0f;
                columns[channel][position] =
                    c < channels && column < others ? vectors[c * others + column] : 0.0f;
            }
            __syncthreads();  // all of the tile is there
            for (int d = 0; d < DEPTH; ++d)
                for (int r = 0; r < EACH; ++r)
                    for (int c = 0; c < EACH; ++c)
                        sum[r][c] += rows[d][my_row + SIDE * r] * columns[d][my_column + SIDE * c];
            __syncthreads();  // nobody still reads it
        }
        for (int r = 0; r < EACH; ++r)
            for (int c = 0; c < EACH; ++c) {
                long long column = first_column + my_column + SIDE * c;
                if (column < others && sum[r][c] > best[r]) {  // of several alike the first
                    best[r] = sum[r][c];
                    place[r] = (int)column;
                }
            }
    }
    for (int r = 0; r < EACH; ++r) {
        largest[my_row + SIDE * r][my_column] = best[r];
        places[my_row + SIDE * r][my_column] = place[r];
    }
    __syncthreads();
    if (threadIdx.x < TILE && first_row + threadIdx.x < count) {
        int row = threadIdx.x, found = 0;
        for (int c = 1; c < SIDE; ++c) {
            bool first = largest[row][c] == largest[row][found] && places[row][c] < places[row][found];
            if (largest[row][c] > largest[row][found] || first) found = c;
        }
        products[slice * count + first_row + row] = largest[row][found];
        index[slice * count + first_row + row] = places[row][found];
    }
}

// The largest of the slices', in their order.
extern "C" __global__ void nearest(float* products, int* index, const float* partials,
                                   const int* places, long long count, long long slices) {
    FOR_EACH(n, count) {
        long long found = n;
        for (long long slice = 1; slice < slices; ++slice)
            if (partials[slice * count + n] > partials[found]) found = slice * count + n;
        products[n] = partials[found];
        index[n] = places[found];
    }
}

// ---- Cosines -----------------------------------------------------------------------

struct Angle {
    double cosine, length;
    bool tiny;
};

__device__ Angle angle_at(const float* features, const float* target, long long p,
                          long long channels, long long positions) {
    double square = 0.0, product = 0.0;
    for (long long c = 0; c < channels; ++c) {
        double f = features[c * positions + p];
        square += f * f;
        product += f * target[c * positions + p];
    }
    bool tiny = !(square > TINY_SQUARE);
    double length = sqrt(tiny ? TINY_SQUARE : square);
    return {product / length, length, tiny};
}

// numpy: sum(w * (1 - cosine))
extern "C" __global__ void cosine_distance(double* partials, const float* features,
                                           const float* target, const float* mask,
                                           long long channels, long long positions) {
    double sum = 0.0;
    FOR_EACH(p, positions) {
        double weight = mask ? mask[p] : 1.0f;
        sum += weight * (1.0 - angle_at(features, target, p, channels, positions).cosine);
    }
    block_sum(sum, partials);
}

extern "C" __global__ void cosine_distance_backward(
    float* d_features, const float* features, const float* target, const float* mask,
    const double* d_loss, double known, long long channels, long long positions, long long add) {
    double factor = factor_of(d_loss, known);
    FOR_EACH(p, positions) {
        Angle angle = angle_at(features, target, p, channels, positions);
        double pull = factor / angle.length * (mask ? mask[p] : 1.0f);
        float along = angle.tiny ? 0.0f : (float)(pull * angle.cosine / angle.length);
        float wanted = (float)pull;
        for (long long c = 0; c < channels; ++c) {
            long long i = c * positions + p;
            float d = features[i] * along - target[i] * wanted;
            d_features[i] = add ? d_features[i] + d : d;
        }
    }
}

// ---- Colours -----------------------------------------------------------------------

// numpy: matrix @ (features - before) + after.  A thread has all channels of a position.
extern "C" __global__ void map_channels(float* mapped, const float* features, const float* matrix,
                                        const float* before, const float* after, long long inputs,
                                        long long outputs, long long positions) {
    FOR_EACH(p, positions) {
        for (long long o = 0; o < outputs; ++o) {
            float sum = 0.0f;
            for (long long c = 0; c < inputs; ++c)
                sum += matrix[o * inputs + c] * (features[c * positions + p] - before[c]);
            mapped[o * positions + p] = sum + after[o];
        }
    }
}
