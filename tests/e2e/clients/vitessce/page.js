// Vitessce on the image of an OME-Zarr at ?url=: its spatial view, and the controls of its channels.
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import { hconcat, Vitessce, VitessceConfig } from 'vitessce';

const url = new URLSearchParams(location.search).get('url');
const config = new VitessceConfig({ schemaVersion: '1.0.17', name: 'image' });
const dataset = config.addDataset('image').addFile({ url, fileType: 'image.ome-zarr' });
const views = ['spatialBeta', 'layerControllerBeta'].map((name) => config.addView(dataset, name));
config.layout(hconcat(...views));
createRoot(document.getElementById('root')).render(
  createElement(Vitessce, { config: config.toJSON(), height: 600, theme: 'light' }),
);
